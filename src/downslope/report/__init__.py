"""Reports: the only place that draws. Nothing here computes a result; it shows what race/ has found."""
