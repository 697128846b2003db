"""What is shown: panels and how they are drawn."""
