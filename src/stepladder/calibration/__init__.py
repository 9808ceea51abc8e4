"""How often each technique finds what is there, and cries wolf where nothing is."""
