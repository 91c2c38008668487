"""The report: what an owner sees of the store, as pages and over SparkPost's read APIs."""
