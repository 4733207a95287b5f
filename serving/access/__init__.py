"""Who may do what: ``door.py`` tells who calls and whether they may. What they do then is not known here."""
