"""What `doctor` examines, one module per place where something may be wrong."""
