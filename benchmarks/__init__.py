"""Measurements on made-up data; nothing here is imported by the platform."""
