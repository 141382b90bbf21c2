"""Each guard names one kind of difference after which a similar question has another answer."""
