"""Mock providers: HTTP servers that answer as providers do, and keep account of what they said.

They share no code with what is metered: what they write is written from the providers' own documentation.
"""
