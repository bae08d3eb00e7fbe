raise 'Runtime startup fails'
