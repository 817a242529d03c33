"""The Pulumi components: what they declare by default, what they refuse, and what comes of them in AWS."""
