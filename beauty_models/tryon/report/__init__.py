"""What only the evaluation of tryon needs: baselines, explanations, pictures and the page."""
