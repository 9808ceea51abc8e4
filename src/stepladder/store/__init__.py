"""What was asked and answered, and what was made of it: a SQLite ledger, Inspect logs, safetensors."""

from stepladder.store.cached import CachedModel
from stepladder.store.exchanges import Event
from stepladder.store.files import load_metadata, load_tensors, save_tensors, save_text
from stepladder.store.store import Store, open_store

__all__ = ["CachedModel", "Event", "Store", "load_metadata", "load_tensors", "open_store", "save_tensors", "save_text"]
