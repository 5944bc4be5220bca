"""The pages: a module for each, or a package where it takes several. Each has a blueprint called `page`."""
