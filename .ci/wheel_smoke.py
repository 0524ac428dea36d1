"""One paid delivery with nothing but the installed wheel; CI runs this in an empty environment outside the checkout."""

import time

from actp import ACTPClient, Network, State

REQUESTER_KEY = "0x" + "11" * 32
PROVIDER_KEY = "0x" + "22" * 32
AMOUNT = 25_000_000

requester = ACTPClient.create(network=Network.LOCAL, private_key=REQUESTER_KEY)
provider = ACTPClient.create(network=Network.LOCAL, private_key=PROVIDER_KEY)
transaction_id = requester.kernel.create_transaction(
    requester=requester.address,
    provider=provider.address,
    amount=AMOUNT,
    deadline=int(time.time()) + 3600,
    dispute_window=3600,
)
requester.fund_transaction(transaction_id)
provider.kernel.transition_state(transaction_id, State.IN_PROGRESS, "0x")
provider.kernel.transition_state(transaction_id, State.DELIVERED, "0x")
requester.release_escrow(transaction_id)
state = requester.kernel.get_transaction(transaction_id).state
if state is not State.SETTLED:
    raise SystemExit(f"the transaction ended as {state}, not as SETTLED")
print("wheel ok")
