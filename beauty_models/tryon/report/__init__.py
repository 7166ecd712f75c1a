"""What only the evaluation of tryon needs: its baselines and the page."""
