"""What runs once in the stack of ``docker-compose.yaml``: secrets, tables and buckets, closing lines, the first day."""
