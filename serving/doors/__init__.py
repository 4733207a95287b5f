"""The protocols by which predictions can be asked for, one file a door. ``DOORS`` in ``serving/app.py`` lists them."""
