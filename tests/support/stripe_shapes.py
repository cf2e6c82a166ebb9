"""What Stripe takes, as its own package declares it: parameters checked against typed dicts."""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from typing import Any, Final

from pydantic import ConfigDict, TypeAdapter
from stripe import StripeContext, _request_options
from typing_extensions import is_typeddict

# The declared shape of each request that the replica answers itself.
SHAPES: Final = {
    "POST /v1/billing/credit_grants": "billing._credit_grant_create_params:CreditGrantCreateParams",
    "POST /v1/billing/meter_events": "billing._meter_event_create_params:MeterEventCreateParams",
    "POST /v1/billing/meters": "billing._meter_create_params:MeterCreateParams",
    "GET /v1/billing/meters": "billing._meter_list_params:MeterListParams",
    "GET /v1/billing/meters/{id}/event_summaries": (
        "billing._meter_event_summary_list_params:MeterEventSummaryListParams"
    ),
    "POST /v1/billing_portal/sessions": "billing_portal._session_create_params:SessionCreateParams",
    "POST /v1/checkout/sessions": "checkout._session_create_params:SessionCreateParams",
    "POST /v1/prices": "_price_create_params:PriceCreateParams",
    "GET /v1/prices": "_price_list_params:PriceListParams",
    "POST /v1/subscriptions": "_subscription_create_params:SubscriptionCreateParams",
    "GET /v1/subscription_items": "_subscription_item_list_params:SubscriptionItemListParams",
    "POST /v1/subscription_items/{id}": (
        "_subscription_item_update_params:SubscriptionItemUpdateParams"
    ),
    "POST /v1/test_helpers/test_clocks": (
        "test_helpers._test_clock_create_params:TestClockCreateParams"
    ),
    "GET /v1/test_helpers/test_clocks/{id}": (
        "test_helpers._test_clock_retrieve_params:TestClockRetrieveParams"
    ),
    "POST /v1/test_helpers/test_clocks/{id}/advance": (
        "test_helpers._test_clock_advance_params:TestClockAdvanceParams"
    ),
    "POST /v1/customers": "_customer_create_params:CustomerCreateParams",
    "GET /v1/invoices": "_invoice_list_params:InvoiceListParams",
}


def checked(request: str, sent: Mapping[str, str]) -> dict[str, Any]:
    """Form or query fields as nested values, if they are what Stripe's package declares.

    Raises:
        ValidationError: they are not (pydantic's).
    """
    found: dict[str, Any] = _adapter(SHAPES[request]).validate_python(nested(sent))
    return found


def nested(sent: Mapping[str, str]) -> dict[str, Any]:
    """`a[b]=1&c[0]=2` as `{"a": {"b": "1"}, "c": ["2"]}`, as Stripe reads it."""
    tree: dict[str, Any] = {}
    for name, value in sent.items():
        *outer, last = re.findall(r"[^\[\]]+", name)
        place = tree
        for key in outer:
            place = place.setdefault(key, {})
        place[last] = value
    listed: dict[str, Any] = _lists(tree)
    return listed


def _lists(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    inner = {key: _lists(one) for key, one in value.items()}
    if inner and all(key.isdigit() for key in inner):
        return [inner[key] for key in sorted(inner, key=int)]
    return inner


_ADAPTERS: Final[dict[str, TypeAdapter[Any]]] = {}


def _adapter(shape: str) -> TypeAdapter[Any]:
    if shape not in _ADAPTERS:
        module_name, _, name = shape.partition(":")
        module = importlib.import_module(f"stripe.params.{module_name}")
        for declared in vars(module).values():
            if is_typeddict(declared):
                # What is not declared is refused, as Stripe does.
                declared.__pydantic_config__ = ConfigDict(
                    extra="forbid", arbitrary_types_allowed=True
                )
        adapter: TypeAdapter[Any] = TypeAdapter(getattr(module, name))
        # Its annotations are texts, of several modules.
        names = {"StripeContext": StripeContext, **vars(_request_options), **vars(module)}
        adapter.rebuild(raise_errors=True, _types_namespace=names)
        _ADAPTERS[shape] = adapter
    return _ADAPTERS[shape]
