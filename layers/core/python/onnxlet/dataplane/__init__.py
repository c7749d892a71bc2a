"""The data plane: one HTTP request in, one answer out, without a web framework.

lambda_events   events of API Gateway, function URLs and load balancers to requests, and answers back
messages        requests and answers, as all doors hand them around
dispatch        whose path it is; sizes, compression, and the last resort for errors that nobody foresaw
protocols       the table of wire protocols, and a package for each
answering       what protocols share: finding the model, headers, refusing
codec           JSON to tensors and back
"""
