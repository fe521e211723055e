"""The engine of mailquota: accounts, use, policy answers, changes. Imports neither Textual nor Rich."""
