"""The GraphQL documents sent to Shopify.

Belongs here: what is asked for, and only fields that are used. Does not belong here: what is made of the answers.
"""

from __future__ import annotations

ORDERS = """
query Orders($n: Int!, $after: String, $q: String) {
  orders(first: $n, after: $after, query: $q, sortKey: UPDATED_AT) {
    nodes {
      legacyResourceId email createdAt updatedAt cancelledAt test currencyCode displayFinancialStatus sourceName
      totalPriceSet { shopMoney { amount } }
      totalRefundedSet { shopMoney { amount } }
      customer { legacyResourceId }
    }
    pageInfo { hasNextPage endCursor }
  }
}
"""

_LINES = """
fragment Lines on LineItemConnection {
  nodes {
    id title sku quantity
    discountedTotalSet(withCodeDiscounts: true) { shopMoney { amount } }
    product { legacyResourceId productType }
  }
  pageInfo { hasNextPage endCursor }
}
"""

# Ten lines hold nearly every order; a larger page would count fully against the cost of every order.
ORDER_ITEMS = f"""
query OrderItems($n: Int!, $after: String, $q: String) {{
  orders(first: $n, after: $after, query: $q, sortKey: UPDATED_AT) {{
    nodes {{
      id legacyResourceId createdAt updatedAt
      lineItems(first: 10) {{ ...Lines }}
    }}
    pageInfo {{ hasNextPage endCursor }}
  }}
}}
{_LINES}"""

MORE_LINES = f"""
query MoreLines($id: ID!, $n: Int!, $after: String) {{
  order(id: $id) {{
    lineItems(first: $n, after: $after) {{ ...Lines }}
  }}
}}
{_LINES}"""

CUSTOMERS = """
query Customers($n: Int!, $after: String, $q: String) {
  customers(first: $n, after: $after, query: $q, sortKey: UPDATED_AT) {
    nodes {
      legacyResourceId createdAt updatedAt locale
      defaultEmailAddress { emailAddress }
      defaultAddress { province countryCodeV2 }
    }
    pageInfo { hasNextPage endCursor }
  }
}
"""

CONSENTS = """
query Consents($n: Int!, $after: String, $q: String) {
  customers(first: $n, after: $after, query: $q, sortKey: UPDATED_AT) {
    nodes {
      legacyResourceId createdAt
      defaultEmailAddress { emailAddress marketingState marketingUpdatedAt }
      tracking: metafield(namespace: "consent", key: "tracking") { value updatedAt }
    }
    pageInfo { hasNextPage endCursor }
  }
}
"""

PROBE = "query Probe { shop { name myshopifyDomain } }"
