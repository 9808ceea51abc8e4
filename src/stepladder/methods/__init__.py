"""The techniques. `CATALOGUE` lists every finished one, explicitly."""
