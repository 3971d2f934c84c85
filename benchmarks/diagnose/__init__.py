"""How often `downslope.watch` names the right cause first, and how often it speaks where nothing is wrong."""
