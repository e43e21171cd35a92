"""Messages about incidents, to people: what a message says, who gets it, and what each channel knows already.

Belongs here: composing, sending over Apprise, and the memory that makes one incident one message. Does not belong here:
which incidents are open (`defs.incidents`), and when that is looked at (`defs.alerting`).
"""
