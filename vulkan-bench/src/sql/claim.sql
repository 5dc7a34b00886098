SELECT max(m.claim_hi), max(m.token) FROM vulkan.claim($1, 'bench', $2) m HAVING count(*) > 0
