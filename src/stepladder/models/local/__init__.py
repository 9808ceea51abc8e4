"""The white-box engine: any Hugging Face decoder, fast for the Llama architecture. Import its modules, not this package."""
