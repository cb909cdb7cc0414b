"""The reference pages of ``docs/``, written from the code so that they cannot fall behind it.

Belongs here: configuration model, contracts and segment rules to Markdown. Does not belong here: pages a person writes.
"""
