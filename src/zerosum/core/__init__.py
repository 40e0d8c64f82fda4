"""What every game stands on: parts and their text, the clock, players, the engine, compatibility, errors."""
