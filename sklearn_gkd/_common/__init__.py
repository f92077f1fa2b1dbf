"""What every room uses; nothing here imports torch."""
