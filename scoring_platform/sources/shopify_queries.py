"""The GraphQL documents sent to Shopify.

Belongs here: what is asked for, page by page and in bulk, and only fields that are used. Does not belong here: what is
made of the answers.

A connection asked for in bulk has no variables, no pages and no sizes; every node needs an id, by which the lines of
the file are told apart and joined.
"""

from __future__ import annotations

from collections.abc import Mapping

_ORDER = """
legacyResourceId email createdAt updatedAt cancelledAt test currencyCode displayFinancialStatus sourceName
totalPriceSet { shopMoney { amount } }
totalRefundedSet { shopMoney { amount } }
customer { legacyResourceId }
"""

_LINED_ORDER = "id legacyResourceId createdAt updatedAt"

_LINE = """
id title sku quantity
discountedTotalSet(withCodeDiscounts: true) { shopMoney { amount } }
product { legacyResourceId productType }
"""

_CUSTOMER = """
legacyResourceId createdAt updatedAt locale
defaultEmailAddress { emailAddress }
defaultAddress { province countryCodeV2 }
"""

_CONSENT = """
legacyResourceId createdAt
defaultEmailAddress { emailAddress marketingState marketingUpdatedAt }
tracking: metafield(namespace: "consent", key: "tracking") { value updatedAt }
"""

_CHECKOUT = """
id createdAt completedAt
totalPriceSet { shopMoney { amount currencyCode } }
customer { legacyResourceId defaultEmailAddress { emailAddress } }
"""

_LINES = f"""
fragment Lines on LineItemConnection {{
  nodes {{ {_LINE} }}
  pageInfo {{ hasNextPage endCursor }}
}}
"""


def _listing(name: str, field: str, selected: str, *, sort_key: str = "UPDATED_AT") -> str:
    return f"""
query {name}($n: Int!, $after: String, $q: String) {{
  {field}(first: $n, after: $after, query: $q, sortKey: {sort_key}) {{
    nodes {{ {selected} }}
    pageInfo {{ hasNextPage endCursor }}
  }}
}}
"""


ORDERS = _listing("Orders", "orders", _ORDER)

# Ten lines hold nearly every order; a larger page would count fully against the cost of every order.
ORDER_ITEMS = _listing("OrderItems", "orders", f"{_LINED_ORDER} lineItems(first: 10) {{ ...Lines }}") + _LINES

MORE_LINES = f"""
query MoreLines($id: ID!, $n: Int!, $after: String) {{
  order(id: $id) {{
    lineItems(first: $n, after: $after) {{ ...Lines }}
  }}
}}
{_LINES}"""

CONSENTS = _listing("Consents", "customers", _CONSENT)

# Checkouts cannot be sorted by their change; by id, none moves from one page to another while they are read.
CHECKOUTS = _listing("Checkouts", "abandonedCheckouts", _CHECKOUT, sort_key="ID")

PROBE = "query Probe { shop { name myshopifyDomain } }"

RUN_BULK = """
mutation RunBulk($query: String!) {
  bulkOperationRunQuery(query: $query, groupObjects: false) {
    bulkOperation { id }
    userErrors { code message }
  }
}
"""

BULK_STATE = """
query BulkState($id: ID!) {
  bulkOperation(id: $id) { status errorCode objectCount rootObjectCount url }
}
"""

CANCEL_BULK = """
mutation CancelBulk($id: ID!) {
  bulkOperationCancel(id: $id) { userErrors { message } }
}
"""


def customers(attributes: Mapping[str, str]) -> str:
    """Return the query of customers with the metafields of ``attributes`` (our name to ``namespace.key``)."""
    return _listing("Customers", "customers", _CUSTOMER + _metafields(attributes))


def alias(attribute: str) -> str:
    """Return the name under which the metafield of ``attribute`` is answered."""
    return f"attribute_{attribute}"


def bulk_orders(search: str) -> str:
    """Return the bulk query of orders."""
    return _in_bulk("orders", search, f"id {_ORDER}")


def bulk_order_items(search: str) -> str:
    """Return the bulk query of orders with their lines."""
    return _in_bulk("orders", search, f"{_LINED_ORDER} lineItems {{ edges {{ node {{ {_LINE} }} }} }}")


def bulk_customers(search: str, attributes: Mapping[str, str]) -> str:
    """Return the bulk query of customers with the metafields of ``attributes``."""
    return _in_bulk("customers", search, f"id {_CUSTOMER}{_metafields(attributes)}")


def bulk_consents(search: str) -> str:
    """Return the bulk query of what customers consented to."""
    return _in_bulk("customers", search, f"id {_CONSENT}")


def _in_bulk(field: str, search: str, selected: str) -> str:
    return f'{{ {field}(query: "{search}") {{ edges {{ node {{ {selected} }} }} }} }}'


def _metafields(attributes: Mapping[str, str]) -> str:
    asked = []
    for name, place in attributes.items():
        namespace, _, key = place.rpartition(".")
        asked.append(f'{alias(name)}: metafield(namespace: "{namespace}", key: "{key}") {{ value }}')
    return "\n".join(asked)
