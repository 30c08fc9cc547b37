"""What every benchmark is made with: rounds, figures, the table."""
