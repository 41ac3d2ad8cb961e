"""What was asked for. Jobs yield what happened; they never print and never exit."""
