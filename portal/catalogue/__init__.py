"""The tools that stand behind the portal: records, ranked search, typed stubs."""
