"""One module for each noun of `coordinator NOUN VERB`."""
