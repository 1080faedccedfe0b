"""The engine that runs on this machine: each model behind a small interface."""
