"""The one OAuth flow that the portal and every server stand behind. Imports nothing of ours."""
