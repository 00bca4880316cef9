"""What a connected idle runner weighs, and what it has put on after many messages."""
