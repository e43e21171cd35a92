"""Getting bytes over a network: HTTP and FTPS, retries, rate limits, resumed and verified downloads.

Knows no archive: what a request means is said in `archives`.
"""
