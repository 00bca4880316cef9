"""The store: tables and repositories. Import the modules themselves; nothing is loaded here that a part may not need."""
