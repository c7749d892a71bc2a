"""The control plane: the registry over HTTP, as a FastAPI application.

app         the routes
use_cases   what they do to the registry, under the conditions that callers state
schemas     what goes over the wire
etags       conditional requests
caller      who calls, as API Gateway says
request_ids the id that every answer carries
gateway     what stands before it on Lambda: which API may hand events on
problem     errors as problem documents
openapi     the document that describes both planes
docs_page   Swagger UI over it
"""
