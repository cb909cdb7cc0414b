"""The morning report: one frozen ``data.ReportData`` becomes a page, a mail and a message.

Belongs here: words, charts, templates and formatters. Does not belong here: reading the lake, the clock, sending.
"""
