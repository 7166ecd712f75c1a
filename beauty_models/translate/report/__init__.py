"""What evaluate measures of a translator, and the page that shows it."""
