"""The curl lines of the founding document, as they stand there."""

FAILOVER = r'''curl -s -X POST \
http://site-a-controller:8788/v1/$TENANT_ID/protection-groups/$PG_ID/action \
-H "X-Auth-Token: $TOKEN" \
-H "Content-Type: application/json" \
-H "OpenStack-API-Version: protector 1.1" \
-d '{
"failover": {
"network_mapping": {
"aaa11111-net-primary-web": "bbb22222-net-secondary-web",
"aaa11111-net-primary-db": "bbb22222-net-secondary-db"
},
"flavor_mapping": {
"m1.large": "m2.large"
},
"force": false
}
}'
'''

# The document's example maps its web network only and has no flavor; this group has two networks and other flavors.
FORCED = r'''curl -s -X POST \
http://site-b-controller:8788/v1/$TENANT_ID/protection-groups/$PG_ID/action \
-H "X-Auth-Token: $TOKEN" \
-H "Content-Type: application/json" \
-H "OpenStack-API-Version: protector 1.1" \
-d '{
"failover": {
"network_mapping": {
"aaa11111-net-primary-web": "bbb22222-net-secondary-web",
"aaa11111-net-primary-db": "bbb22222-net-secondary-db"
},
"flavor_mapping": {
"m1.large": "m2.large"
},
"force": true
}
}'
'''

DRILL = r'''curl -s -X POST \
http://site-a-controller:8788/v1/$TENANT_ID/protection-groups/$PG_ID/action \
-H "X-Auth-Token: $TOKEN" \
-H "Content-Type: application/json" \
-H "OpenStack-API-Version: protector 1.1" \
-d '{
"failover": {
"network_mapping": {
"aaa11111-net-primary-web": "bbb22222-net-secondary-web",
"aaa11111-net-primary-db": "bbb22222-net-secondary-db"
},
"flavor_mapping": {
"m1.large": "m2.large"
},
"retain_primary": true
}
}'
'''

CLEANUP = r'''curl -s -X POST \
http://site-a-controller:8788/v1/$TENANT_ID/protection-groups/$PG_ID/action \
-H "X-Auth-Token: $TOKEN" \
-H "Content-Type: application/json" \
-H "OpenStack-API-Version: protector 1.1" \
-d '{"test_cleanup": {}}'
'''

FAILBACK = r'''curl -s -X POST \
http://site-b-controller:8788/v1/$TENANT_ID/protection-groups/$PG_ID/action \
-H "X-Auth-Token: $TOKEN" \
-H "Content-Type: application/json" \
-H "OpenStack-API-Version: protector 1.1" \
-d '{
"failback": {
"network_mapping": {
"bbb22222-net-secondary-web": "aaa11111-net-primary-web",
"bbb22222-net-secondary-db": "aaa11111-net-primary-db"
},
"reverse_replication": true,
"force": false
}
}'
'''

SYNC = r'''curl -s -X POST \
http://site-a-controller:8788/v1/$TENANT_ID/protection-groups/$PG_ID/consistency-group/sync \
-H "X-Auth-Token: $TOKEN" \
-H "Content-Type: application/json" \
-H "OpenStack-API-Version: protector 1.1"
'''

POLL = r'''curl -s \
http://site-a-controller:8788/v1/$TENANT_ID/operations/$OP_ID \
-H "X-Auth-Token: $TOKEN" \
-H "OpenStack-API-Version: protector 1.1"
'''
