"""The ground floor: identifiers and errors. Imports nothing of this project."""
