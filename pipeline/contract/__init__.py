"""The language that training and serving share: schema, bundle, release keys, channel, status.

Standard library and numpy only; nothing here reads or writes anywhere.
"""
