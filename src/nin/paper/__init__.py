"""The paper's tables and figures: what it says, and what comes out when it is run."""
