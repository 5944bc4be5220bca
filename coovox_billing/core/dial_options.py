"""temporary"""
def bypassing_options(options: str) -> list[str]:
    return ["G"] if "G(" in options else []
