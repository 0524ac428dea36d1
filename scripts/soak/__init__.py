"""Long tests under load: `make soak NAME=x` prints one JSON object of what it found."""
