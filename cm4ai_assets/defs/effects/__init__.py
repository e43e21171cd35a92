"""Assets of batch effects and of the effects of treatments."""
