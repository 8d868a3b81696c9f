import asyncio

import catalog
import prometheus

owned = await catalog.list_owned_entities("checkout", kinds=["Component"])
services = [e["name"] for e in owned["items"] if e["type"] == "service"]


async def report(service):
    rate, errors, alerts = await asyncio.gather(
        prometheus.query(f'sum(rate(http_requests_total{{service="{service}"}}[1m]))'),
        prometheus.query(f'sum(rate(http_requests_total{{service="{service}",code=~"5.."}}[1m]))'),
        prometheus.list_alerts(state="firing", labels=[f'service="{service}"']),
    )
    per_s = rate["samples"][0]["value"] if rate["samples"] else 0
    failing = errors["samples"][0]["value"] if errors["samples"] else 0
    return {
        "service": service,
        "requests/s": round(per_s, 1),
        "errors %": round(100 * failing / per_s, 1) if per_s else None,
        "alerts": ", ".join(a["name"] for a in alerts["items"]) or "-",
    }


rows = await asyncio.gather(*[report(s) for s in services])
print("| " + " | ".join(rows[0]) + " |")
print("|---" * len(rows[0]) + "|")
for row in rows:
    print("| " + " | ".join(str(v) for v in row.values()) + " |")
len(rows)
