"""Pictures of the game: Figure 1 of Goodfellow et al. (2014) as it happens, D over the plane, G beside the inverse CDF, the
measured curves, and phase portraits. Colours are told apart by colour-blind readers (Okabe and Ito)."""
