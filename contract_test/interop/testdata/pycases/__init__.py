"""The cases of the Python clients, by feature. Each module has a function cases."""
