"""Networks that training starts from: encoders, weights that come by pip, the baseline UNet."""
