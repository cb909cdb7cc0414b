"""Fitting of models to purchase histories: numbers in, parameters and forecasts out, by NumPy and SciPy.

Belongs here: likelihoods, their gradients, their maximum, and what follows from parameters. Does not belong here:
tables, the engine, when a model is fitted and which one is used.
"""
